"""The large model: the same prompts, gates and rewards, on trainers that need GPUs.

prompts   C functions to chat prompts in the columns that verl and OpenRLHF read
hooks     the reward of an answer, as both trainers call it
score     the process in which the gates judge one answer
config    a run described in TOML, checked, and turned into the trainer's command line
options   the rendered options against the trainer's own list
convert   a folder of Hugging Face weights as GGUF
parity    the converted file against transformers
dryrun    all of it but the trainer on a tiny random model
"""
