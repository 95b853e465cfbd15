"""Time-keeping on a given clock: deadlines, rates, shares of a turn, intervals of many, and limits of log lines."""
