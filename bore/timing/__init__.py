"""Time-keeping on a given clock: deadlines, rate limits, shares of a turn, and limits of log lines."""
