// A real OpenID Connect provider on this machine: anybody may sign in there under any name.
import { Provider } from "oidc-provider";

const [port, back] = process.argv.slice(2);
const home = new URL("/", back).href;
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "sandbox", client_secret: "known to the test alone", redirect_uris: [back], post_logout_redirect_uris: [home] }],
  claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
  cookies: { keys: ["of a test"] },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} <b>`, email: `${id}@example.org`, email_verified: id !== "mallory" }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
