"""List the tools, call one, call one that there is not: `python.py URL TOOL LEGACY|AUTO [KEY]`."""

import asyncio
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url, tool, mode, key=None):
    headers = {"X-API-Key": key} if key else {}
    async with httpx2.AsyncClient(headers=headers) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = [listed.name for listed in (await client.list_tools()).tools]
            result = await client.call_tool(tool, {})
            print("version", client.protocol_version)
            print("listed", tool in tools)
            print("called", result.content[0].text)
            try:
                result = await client.call_tool("no_such_tool", {})
                print("unknown", "error" if result.is_error else "answered")
            except Exception as error:
                print("unknown", type(error).__name__, error)


asyncio.run(main(*sys.argv[1:]))
