"""The tables of the service, a file for each kind; `Base.metadata` has them all once this package is imported."""

from sandbox.records.tables.base import Base as Base
from sandbox.records.tables.base import Moment as Moment
from sandbox.records.tables.base import new_id as new_id
from sandbox.records.tables.base import now as now
from sandbox.records.tables.drafts import Draft as Draft
from sandbox.records.tables.drafts import DraftFile as DraftFile
from sandbox.records.tables.drafts import DraftJob as DraftJob
from sandbox.records.tables.drafts import DraftSection as DraftSection
from sandbox.records.tables.drafts import QuestionnaireDraft as QuestionnaireDraft
from sandbox.records.tables.logs import AuditEntry as AuditEntry
from sandbox.records.tables.logs import OutboxEntry as OutboxEntry
from sandbox.records.tables.people import ApiToken as ApiToken
from sandbox.records.tables.people import Counted as Counted
from sandbox.records.tables.people import FailedSignIn as FailedSignIn
from sandbox.records.tables.people import Membership as Membership
from sandbox.records.tables.people import Notice as Notice
from sandbox.records.tables.people import NoticeMark as NoticeMark
from sandbox.records.tables.people import Organisation as Organisation
from sandbox.records.tables.people import Person as Person
from sandbox.records.tables.people import SignedIn as SignedIn
from sandbox.records.tables.people import Spent as Spent
from sandbox.records.tables.people import Webhook as Webhook
from sandbox.records.tables.review import ReviewAssignment as ReviewAssignment
from sandbox.records.tables.review import ReviewEntry as ReviewEntry
from sandbox.records.tables.submissions import State as State
from sandbox.records.tables.submissions import Submission as Submission
