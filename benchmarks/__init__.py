"""
What the tunnel costs, next to having none and next to other tunnels: ``python -m benchmarks``.

================= ==================================================================================================
``programs``      starts programs, and ends every one that it has started
``measure``       what Linux says of processes: CPU time, memory, listening ports
``tunnels``       a tunnel that is up, and something that can bring one up
``subjects``      how each tunnel of ours is started, and everything that is measured
``peers``         how the tunnels of others are started
``services``      what is behind the tunnels: nginx, iperf3, and a greeter
``visitors``      visitors that only come: one after the other, and many that stay
``idletunnels``   tunnels for which nobody comes: a program of its own
``greeter``       a service that says one byte: a program of its own
``descriptors``   how many descriptors a process may have
``outputs``       reads what ab, wrk and iperf3 print
``cases``         the cases, and how most of them are measured
``crowds``        how those with many tunnels, many visitors at once, or much time are measured
``loads``         what the cases have in common
``burst``         visitors that come within a second: a program of its own
``interpreter``   whether the interpreter is an optimised one
``bench``         runs the cases, and goes on when one of them fails
``figures``       medians, spreads, and ratios within a round
``goals``         the ratios that this project wants to reach
``machine``       the machine and the versions that the figures hold for
``results``       the figures as JSON
``tables``        the figures as tables, and in docs/speed.rst
``plots``         the figures as SVG and PNG
``profile``       where the time goes: ``python -m benchmarks.profile``
================= ==================================================================================================
"""
