"""Tests of snapshots, and of those who ask for them."""
