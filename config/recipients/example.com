# Who has a mailbox at example.com: one address or local part a line.
# postmaster is always accepted.
alice
bob@example.com
