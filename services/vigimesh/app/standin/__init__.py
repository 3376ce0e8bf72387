"""The stand-in: a local server that speaks as a large model's endpoint does and is none, for tests, demos and benchmarks.

Every reply says that it is a stand-in: its header, its body, and its model's name. It serves on loopback only.
"""
