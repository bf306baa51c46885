"""A run of two slow toy stages and their sum, to be killed from outside."""

from toy_stages import chain

from attm_companion.study.scheduler import ensure

if __name__ == "__main__":
    ensure([chain(sleep_s=30.0)], jobs=2)
