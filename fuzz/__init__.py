"""A coverage-guided fuzzer over everything that parses: ``make fuzz``; see CONTRIBUTING, "The fuzzer"."""
