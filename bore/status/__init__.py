"""
What a running program has: snapshots for people and programs, and the sockets at which they ask for them.

A snapshot is read from the objects that do the work at the moment of the question, so that a visitor costs nothing.
Only what is not state is counted as it happens (:mod:`bore.status.history`).

============ =====================================================================================================
notices      what systemd gets to know of the program, with a line of its state (statuslines)
visitorlog   a line for each visitor
history      counts events, and keeps the last ones: a subscriber of the sink, and the only part that is always there
report       the values of a snapshot, and their JSON
server       the snapshot of a server
client       the snapshot of a client
site         HTTP for the admin socket and the status port
page         the web page of the status port; ``page/`` has its files
viewers      the streams to browsers that show it: views (what they show of a snapshot), and what has changed
traffic      the traffic of the last hour
============ =====================================================================================================
"""
