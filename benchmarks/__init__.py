"""Speed against peers, each a command: see the README."""
