// List the tools, call one, call one that there is not: URL TOOL MODE [KEY].
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [url, tool, mode, key] = process.argv.slice(1);
const headers = key ? { 'X-API-Key': key } : {};
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
await client.connect(transport);
const { tools } = await client.listTools();
const result = await client.callTool({ name: tool, arguments: {} });
console.log('version', client.getNegotiatedProtocolVersion());
console.log('listed', tools.some((listed) => listed.name === tool));
console.log('called', result.content[0].text);
const unknown = client.callTool({ name: 'no_such_tool', arguments: {} });
console.log('unknown', await unknown.then((r) => (r.isError ? 'error' : 'answered'), (e) => `error ${e.message}`));
await client.close();
