"""``moesif-shipper completion``: the script that has a shell complete this command."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "moesif-shipper"
VARIABLE = "_MOESIF_SHIPPER_COMPLETE"
"""Which click looks for in the environment of a program with this name."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that has your shell complete commands and options.

    \b
    bash   moesif-shipper completion bash > ~/.local/share/bash-completion/completions/moesif-shipper
    zsh    moesif-shipper completion zsh > "${fpath[1]}/_moesif-shipper"
    fish   moesif-shipper completion fish > ~/.config/fish/completions/moesif-shipper.fish
    """
    made = get_completion_class(shell)
    assert made is not None, "click knows these three"
    click.echo(made(context.find_root().command, {}, PROGRAM, VARIABLE).source())
