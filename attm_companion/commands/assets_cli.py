"""``attm assets list | fetch | verify``."""

import argparse

from attm_companion.assets import Asset, find_asset, load_manifest, verify
from attm_companion.commands.download import fetch
from attm_core.assets import asset_folder
from attm_core.errors import AssetError


def describe(asset: Asset) -> str:
    """One asset in two lines."""
    size = f"{asset.size / 2**20:,.0f} MiB" if asset.size else "size not stated"
    flags = [
        "gated" if asset.gated else "",
        "by hand" if not asset.files else "",
        "" if asset.is_verifiable or not asset.files else "no published digest for some files",
    ]
    extra = ", ".join(flag for flag in flags if flag)
    return (
        f"{asset.name:24} {len(asset.files):4} file(s), {size}; {asset.licence}"
        f"{f' ({extra})' if extra else ''}\n{'':24} {asset.role}"
    )


def run_list(_: argparse.Namespace) -> int:
    """Print the manifest."""
    print(*map(describe, load_manifest().values()), sep="\n")
    return 0


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch assets by name."""
    for name in args.names:
        fetch(find_asset(name), args.to)
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Print what is not verified, and a count; raises ``AssetError`` if a file is wrong."""
    wrong = 0
    for name in args.names:
        states = verify(find_asset(name), args.to)
        for path, state in states.items():
            if state != "verified":
                print(f"{name}/{path}: {state}")
        good = sum(state == "verified" for state in states.values())
        wrong += sum(state not in ("verified", "unverified") for state in states.values())
        print(f"{name}: {good} of {len(states)} verified in {args.to or asset_folder(name)}")
    if wrong:
        raise AssetError(f"{wrong} file(s) are absent or wrong: run `attm assets fetch NAME`")
    return 0
