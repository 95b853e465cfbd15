"""bore local --nodes."""

from __future__ import annotations

from tests.entrypoints.optionscase import OptionsCase, local


class NodesTests(OptionsCase):
    """How many nodes of a cluster have the tunnels."""

    def test_oneToFourNodesOfAClusterMayHaveTheTunnels(self) -> None:
        for text in ("1", "4"):
            self.assertEqual(local("80", "--to", "example.com", "--nodes", text).settings.nodes, int(text))
        for text in ("0", "5", "many"):
            self.assertUsageError(f"--nodes {text!r}: must be a whole number from 1 to 4", "80", f"--nodes={text}")

    def test_theVariableIsUnderstood(self) -> None:
        self.assertEqual(local("80", "--to", "example.com", BORE_NODES="3").settings.nodes, 3)
