"""Records in memory."""

from __future__ import annotations

import os
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from bore.system.records import SIZE, Records


class RecordsTests(SynchronousTestCase):
    """What is written is read by another process, which has a descriptor of the same file."""

    def setUp(self) -> None:
        self.records = Records()
        self.addCleanup(self.records.close)

    def again(self) -> list[tuple[int, bytes]]:
        other = Records(os.dup(self.records.descriptor))
        self.addCleanup(other.close)
        return list(other.read())

    def test_recordsAreReadByTheirNumbers(self) -> None:
        self.assertEqual(self.again(), [])
        for number, content in ((0, b"zero"), (5, b"a longer one"), (2, b"x" * SIZE), (5, b"five")):
            self.assertTrue(self.records.write(number, content))
        self.assertEqual(self.again(), [(0, b"zero"), (2, b"x" * SIZE), (5, b"five")])
        self.records.erase(2)
        self.records.erase(9)
        self.assertEqual(self.again(), [(0, b"zero"), (5, b"five")])

    def test_oneThatIsTooLongIsNotWritten(self) -> None:
        self.records.write(1, b"short")
        self.assertFalse(self.records.write(1, b"x" * (SIZE + 1)))
        self.assertEqual(self.again(), [(1, b"short")])

    def test_aFileOfAnotherSizeIsReadAsFarAsItHasRecords(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"a" * SIZE + b"b" * 7)
            file.flush()
            self.assertEqual(list(Records(file.fileno()).read()), [(0, b"a" * SIZE)])

    def test_whatIsNoFileHasNoRecords(self) -> None:
        one, other = os.pipe()
        self.addCleanup(os.close, other)
        self.addCleanup(os.close, one)
        os.write(other, b"x")
        self.assertEqual(list(Records(one).read()), [])
