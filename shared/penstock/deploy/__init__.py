"""What an operator does about a deployment on Modal, from outside of it: weights, checks, addresses.

Needs the `modal` extra where it asks Modal anything; workspace.py says how its errors are told.
"""
