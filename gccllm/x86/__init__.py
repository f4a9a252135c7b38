"""What the machine makes of a body: registers, instructions and their effects, control flow, liveness, convention."""
