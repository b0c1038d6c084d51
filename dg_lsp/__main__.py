"""The console script `dg-lsp`, and `python -m dg_lsp`, which is the same."""

# Nothing is imported before an interruption is expected.
import os

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; an interruption ends it without a word, however early it comes."""
    try:
        from dg_lsp import interrupts, threads

        interrupts.handle()
        threads.wait_briefly()
        from dg_lsp import cli

        cli.main()
    except KeyboardInterrupt:
        os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
