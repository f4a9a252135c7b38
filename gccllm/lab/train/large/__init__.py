"""The large model's way: the same prompts, the same gate and the same rewards, on trainers that need GPUs.

prompts   C functions to chat prompts in the columns that verl and OpenRLHF read
reward    an answer's way through the verifier and the timer, as both trainers call it
score     the process in which one answer is judged
config    a run described in TOML, checked, and turned into the trainer's command line
options   the rendered options against the trainer's own list
convert   a folder of Hugging Face weights as GGUF
parity    the converted file against transformers
dryrun    all of it but the trainer on a tiny random model
"""
