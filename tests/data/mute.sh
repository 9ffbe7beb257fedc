#!/bin/sh
# Closes its output and never ends.
exec >&- sleep 1000
