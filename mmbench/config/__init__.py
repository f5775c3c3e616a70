"""The parts of a run: the checked configuration, the methods and experiments of a checkout, and the hash of code.

It reads source files without running them and never imports torch.
"""
