"""``bore doctor`` as people use it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from twisted.trial.unittest import SkipTest

from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, LocalService, Program, bore

#: Runs ``bore`` with shorter times in a network of its own, whose only address beside its own nobody has.
_BLACK_HOLE = """
ip link set lo up && ip link add hole type veth peer name bottom && ip address add 10.99.0.1/24 dev hole &&
ip link set hole up && ip link set bottom up && ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev hole &&
exec "$0" -c 'import sys; import bore.doctor.examination as e; e.CHECK_TIMEOUT = 1.0
from bore.cli import main; sys.exit(main())' doctor --to 10.99.0.2
"""


class DoctorTests(ProcessCase):
    """Output and exit codes."""

    def test_allIsWell(self) -> None:
        _, port = self.server()
        doctor = self.start(bore("doctor", str(self.service.port), "-l", "127.0.0.1", "--to", f"{self.host}:{port}"))
        self.assertEqual(doctor.wait(), 0, doctor.transcript())
        self.assertEqual(doctor.err, [])
        self.assertEqual([line[:5].strip() for line in doctor.out], ["ok"] * 10 + ["All i"])
        self.assertTrue(doctor.out[0].startswith(f"ok   name: {self.host} is an address"))

    def test_theFirstFailureGivesTheCodeAndWhatToDo(self) -> None:
        port = freePort(self.host)
        doctor = self.start(bore("doctor", "--to", f"{self.host}:{port}"))
        self.assertEqual(doctor.wait(), 69, doctor.transcript())
        self.assertIn(f"FAIL port: {port}: {self.host}: connection refused", doctor.out)
        self.assertIn("     no program listens there: start 'bore server', or check the port", "\n".join(doctor.out))
        self.assertIn("skip secret: as port fails", doctor.out)
        self.assertIn("begin with port", doctor.out[-1])

    def test_programsGetTheSame(self) -> None:
        _, port = self.server("--secret", "the right one, long enough")
        words = ("--to", f"{self.host}:{port}", "--secret", "the wrong one, long enough", "--json")
        doctor = self.start(bore("doctor", *words))
        self.assertEqual(doctor.wait(), 77, doctor.transcript())
        found = json.loads("\n".join(doctor.out))
        states = {each["check"]: each["state"] for each in found["checks"]}
        self.assertEqual((found["code"], states["port"], states["secret"], states["range"]), (77, "ok", "fail", "skip"))

    def test_whatAServerSendsDoesNotControlTheTerminal(self) -> None:
        def hostile(sock: object) -> None:
            sock.recv(1000)  # type: ignore[attr-defined]
            sock.sendall(b'{"Error":"\\u001b]0;owned\\u0007\\u202e"}\0')  # type: ignore[attr-defined]

        service = LocalService(hostile)
        self.addCleanup(service.close)
        for words in ((), ("--json",)):
            doctor = self.start(bore("doctor", "--to", f"127.0.0.1:{service.port}", *words))
            self.assertEqual(doctor.wait(), 1, doctor.transcript())
            self.assertIn("owned", "\n".join(doctor.out))
            self.assertTrue("".join(doctor.out).isprintable())

    def test_aBlackHoleIsNamed(self) -> None:
        unshare = shutil.which("unshare")
        if unshare is None or shutil.which("ip") is None:
            raise SkipTest("this machine has no unshare, or no ip")
        words = [unshare, "--map-root-user", "--net"]
        if subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode:
            raise SkipTest("this user may make no network namespaces")
        doctor = self.start(Program([*words, "sh", "-c", _BLACK_HOLE, sys.executable], cwd=str(CHECKOUT)))
        self.assertEqual(doctor.wait(), 69, doctor.transcript())
        self.assertIn("ok   route: 10.99.0.2 from 10.99.0.1 (hole)", doctor.out)
        self.assertIn("FAIL port: 7835: 10.99.0.2: it does not answer", doctor.out)
        self.assertIn("a firewall blocks port 7835", "\n".join(doctor.out))
