"""
What asks a running program over its admin socket, and shows its answers: ``bore status`` and the like.

Nothing here imports Twisted, so that these commands are quick, and nothing else imports this. The program that answers
may be of another version: what is missing in its answers is left out, and what is new is ignored.
"""
