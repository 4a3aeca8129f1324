"""What actors are compared with: limits written by hand and libraries, one file each.

A file here imports nothing of greenroom unless its name says so: most run on an interpreter of their own.
"""
