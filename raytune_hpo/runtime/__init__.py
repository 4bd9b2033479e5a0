"""Where trials run: threads of this process (local), a virtual clock (simulated). Ray has a folder of its own."""
