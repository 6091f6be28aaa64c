"""A page of HTML for a run, or for several beside each other.

Belongs here: what a workdir says of its run (`record`), what its network says
of the test images (`network`), and how both become one file that needs nothing
else: no server, no request (`report`, `compare`). Does not: flags
(`tools.report`), pictures for the papers' figures (`seeing`).
"""
