"""What is measured and judged: pure functions of sealed evidence, without input or output of their own."""
