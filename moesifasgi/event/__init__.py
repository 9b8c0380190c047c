"""What an event is, on both sides of the wire. Pure: no socket, os, time, threading or random in here."""
