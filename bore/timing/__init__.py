"""Time-keeping on a clock that is handed in: deadlines, rates, shares of a turn, log lines that are bounded in time."""
