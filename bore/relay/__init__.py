"""
The relay joins connected streams.

It takes sockets and the bytes that were already read from them. Of the wire it knows the frames of lanes
(:mod:`bore.wire.lane`), and no message; it knows nothing of sessions, tunnels and users. The rest of the program
imports :mod:`bore.relay.interface`, and :mod:`bore.relay.backend` where the relay is made.

The modules are a stack, and each imports only from those above it in this list:

============= ========================================================================
interface     what the rest of the program sees
lingering     a stream that is reset when its peer has acknowledged all
pairs         which pairs are running
readout,      the portable backend, on Twisted's transports
portable
pipes, halves the backend with splice: one stream of a pair, and how it ends
flow          how its bytes move
loop          which half is served when, and its share of a turn
splice        two plain streams
carriedpair,  what lanes need of a pair, and their deadlines
lanedeadlines
tolane        the plain stream on a lane
fromlane      the lane, as long as a stream is on it
lane          the lane, from its opening to its end
lanepair      the two of them
lanes         the relay that carries lanes
backend       which backend there is
============= ========================================================================
"""
