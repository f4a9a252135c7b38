"""What the machine makes of a body: instructions and their effects, control flow, the calling convention."""
