"""Stage `corpus`: draw, compile, check and time pairs."""

from gccllm.lab.train import config, corpus

if __name__ == "__main__":
    config.run(corpus.generate, "corpus", __doc__)
