"""What every domain of the server needs and no domain owns: principals, scope, problems, paging, audit, outbox, jobs.

Entry rule: a module comes in only when two domains need it and it knows none of them.
"""
