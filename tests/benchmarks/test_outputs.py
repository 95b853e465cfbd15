"""What the benchmark reads: the output of other programs, and files of /proc."""

from __future__ import annotations

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.bench import loopbackHost
from benchmarks.burst import Burst, disordered
from benchmarks.greeter import GREETING
from benchmarks.interpreter import buildOf
from benchmarks.measure import Cpu, descendants, listeners, parseSizes, parseStat
from benchmarks.outputs import Requests, parseAb, parseIperf, parseStrace, parseWrk, percentile
from benchmarks.programs import BenchmarkError

AB = """\
Time taken for tests:   1.004 seconds
Complete requests:      17472
Failed requests:        3
Requests per second:    17396.90 [#/sec] (mean)
"""


AB_PERCENTILES = "Percentage served,Time in ms\n0,0.621\n1,0.912\n50,1.362\n51,1.367\n98,5.638\n99,5.993\n100,14.233\n"


WRK = """\
  Latency Distribution
     50%  322.00us
     99%    5.91ms
  31052 requests in 1.01s, 37.40MB read
Requests/sec:  30890.04
"""


IPERF = """\
{"start": {"version": "iperf 3.12"}, "intervals": [],
 "end": {
  "sum_sent": {"start": 0, "end": 1.000016, "bytes": 2079588352, "bits_per_second": 16636440632.9, "sender": false},
  "sum_received": {"start": 0, "end": 1.0005, "bytes": 2085355520, "bits_per_second": 16674490240.3, "sender": false}}}
"""


STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.006000           3      2000       211 recvfrom
 40.00    0.004000          18       222           sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.010000           4      2222       211 total
"""


STAT = (
    "7522 (a) ) (name) S 7518 7518 7518 0 -1 4194368 1125 7 0 0 351 1249 20 30 20 0 4 0 90123 "
    "15343616 970 18446744073709551615 1 1 0 0 0 0 0 1073745920 402745863 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)


SMAPS_ROLLUP = """\
55d5c6c1c000-7ffd6e9d4000 ---p 00000000 00:00 0                          [rollup]
Rss:                4048 kB
Pss:                1189 kB
"""


NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0200217F:46A0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100
   1: 00000000:1E9B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12346 1 0000000000000000 100
   2: 0100007F:D431 0200217F:46A0 01 00000000:00000000 00:00000000 00000000     0        0 12347 1 0000000000000000 20
"""


class OutputsTests(SynchronousTestCase):
    """Output of ab, wrk and iperf3, as recorded."""

    def test_abCountsAndItsFileHasTheExactTimes(self) -> None:
        self.assertEqual(parseAb(AB, AB_PERCENTILES), Requests(17472, 3, 17396.90, 1.362, 5.993))

    def test_abWithoutItsFileIsAnError(self) -> None:
        self.assertRaises(BenchmarkError, parseAb, AB, "Percentage served,Time in ms\n")

    def test_abThatGaveUpIsAnError(self) -> None:
        text = "Benchmarking 127.33.0.2 (be patient)\nTotal of 12 requests completed\n"
        self.assertRaises(BenchmarkError, parseAb, text, AB_PERCENTILES)

    def test_wrkGivesItsTimesInDifferentUnits(self) -> None:
        self.assertEqual(parseWrk(WRK), Requests(31052, 0, 30890.04, 0.322, 5.91))

    def test_wrkCountsSocketErrorsAndRefusalsAsFailed(self) -> None:
        text = WRK + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"
        self.assertEqual(parseWrk(text).failed, 15)

    def test_wrkThatGaveUpIsAnError(self) -> None:
        self.assertRaises(BenchmarkError, parseWrk, "unable to connect to 127.33.0.2:1 Connection refused\n")

    def test_iperfIsReadAtTheReceiver(self) -> None:
        transfer = parseIperf(IPERF)
        self.assertEqual(transfer.size, 2085355520)
        self.assertAlmostEqual(transfer.rate, 16.6744902403)

    def test_whatIperfSaysOfItsFailureIsTheError(self) -> None:
        with self.assertRaises(BenchmarkError) as caught:
            parseIperf('{"start": {}, "error": "unable to connect to server: Connection refused"}')
        self.assertIn("Connection refused", str(caught.exception))

    def test_noJsonNoEndAndNoBytesAreErrors(self) -> None:
        for text in ("", "[]", '{"end": {}}', IPERF.replace("2085355520", "0")):
            self.assertRaises(BenchmarkError, parseIperf, text)

    def test_aPercentileIsOneOfTheValues(self) -> None:
        values = [float(n) for n in range(200, 0, -1)]
        self.assertEqual((percentile(values, 50), percentile(values, 99), percentile([7.0], 99)), (101.0, 199.0, 7.0))

    def test_straceGivesTheCallsOfAll(self) -> None:
        self.assertEqual(parseStrace(STRACE), 2222)
        self.assertEqual(parseStrace(STRACE.replace("       211 total", "           total")), 2222)
        self.assertRaises(BenchmarkError, parseStrace, "strace: attach: ptrace: Operation not permitted\n")


class InterpreterTests(SynchronousTestCase):
    """How an interpreter was built."""

    def test_itsFlagsSaySo(self) -> None:
        for flags, prefix, optimised, text in (
            ("'--enable-optimizations' '--with-lto'", "/opt/python", True, "built with PGO and LTO"),
            ("'--enable-optimizations'", "/opt/python", False, "built with PGO"),
            ("'--prefix=/home/me/.pyenv'", "/home/me/.pyenv", False, "built without PGO and LTO"),
            ("'--enable-shared'", "/usr", True, "the distribution's"),
        ):
            build = buildOf(flags, prefix)
            self.assertEqual((build.optimised, str(build)), (optimised, text))


class BurstTests(SynchronousTestCase):
    """Visitors that come within a second."""

    def test_thoseThatOvertakeEarlierOnesAreCounted(self) -> None:
        times = [(0.0, 0.1), (0.05, 3.0), (0.1, 0.2), (0.2, 0.3), (0.5, 3.1), (0.6, 2.9)]
        self.assertEqual(disordered(times), 2)
        self.assertEqual(disordered([]), 0)

    def test_whatBecomesOfThemIsCounted(self) -> None:
        host = loopbackHost(0, 1)
        with socket.create_server((host, 0)) as listener:
            thread = threading.Thread(target=self.serve, args=(listener,))
            thread.start()
            found = Burst(listener.getsockname(), host).run(5)
            thread.join()
        self.assertEqual((found.served, found.reset, found.unanswered), (3, 2, 0))

    def serve(self, listener: socket.socket) -> None:
        for n in range(5):
            visitor, _ = listener.accept()
            with visitor:
                if n < 3:
                    visitor.send(GREETING)


class MeasureTests(SynchronousTestCase):
    """Files of /proc, as recorded."""

    def test_aProcessNameMayHaveBlanksAndParentheses(self) -> None:
        stat = parseStat(STAT, 100)
        self.assertEqual((stat.parent, stat.cpu, stat.born), (7518, Cpu(3.51, 12.49), 90123))

    def test_cpuTimesAreAddedAndSubtracted(self) -> None:
        self.assertEqual(Cpu(3.0, 5.0) - Cpu(1.0, 2.0) + Cpu(1.0, 1.0), Cpu(3.0, 4.0))
        self.assertEqual((Cpu(3.0, 5.0) * 2).total, 16.0)

    def test_sizesAreThoseThatHaveAUnit(self) -> None:
        self.assertEqual(parseSizes(SMAPS_ROLLUP), {"Rss": 4048, "Pss": 1189})

    def test_onlyListenersListen(self) -> None:
        self.assertEqual(listeners(NET_TCP), {("127.33.0.2", 18080), ("0.0.0.0", 7835)})

    def test_aFamilyHasChildrenAndGrandchildren(self) -> None:
        self.assertEqual(descendants(5, {1: 0, 5: 1, 6: 5, 7: 6, 8: 1, 9: 5}), [5, 6, 9, 7])
