"""The shipper's end of the wire. ``unix`` has the loop, ``peer`` one connection."""
