"""``moesif-shipper inspect``: the local collector and its page."""

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8025,
    show_default=True,
    help="Port to listen on; 0: any.",
)
def inspect(host: str, port: int) -> None:
    """Run a local stand-in for Moesif's collector, with a page that shows what arrives.

    The page also sets what the dashboard would: sampling rates and governance rules. Or by command:

    \b
    curl -X PUT http://127.0.0.1:8025/inspector/config -d '{"sample_rate": 50}'
    curl -X PUT http://127.0.0.1:8025/inspector/rules -d '[]'
    """
    from moesifasgi.inspector import serve

    try:
        serve(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from error
