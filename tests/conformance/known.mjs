// What the official SDK's own accumulator makes of each recorded stream, as JSON on standard output.
//
// The whole path is the SDK's: its client, its decoder of server-sent events, its accumulator. Only the network is replaced,
// by the file's bytes. The SDK drops a last event that no blank line ends, so one is added where it is missing.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

const require = createRequire(path.join(process.env.CONFORMANCE_PACKAGES, 'index.js'));
const { Anthropic } = require('@anthropic-ai/sdk');
const folder = process.env.CONFORMANCE_STREAMS;

async function known(bytes) {
  const whole = Buffer.concat([bytes, Buffer.from('\n\n')]);
  const client = new Anthropic({
    apiKey: 'none',
    maxRetries: 0,
    fetch: async () => new Response(whole, { headers: { 'content-type': 'text/event-stream' } }),
  });
  const stream = client.beta.messages.stream({
    model: 'any',
    max_tokens: 1,
    messages: [{ role: 'user', content: 'any' }],
  });
  const closed = [];
  let begun = false;
  stream.on('streamEvent', (event) => {
    begun ||= event.type === 'message_start';
    if (begun && event.type === 'content_block_stop') closed.push(event.index);
  });
  try {
    const { content, stop_reason, usage } = await stream.finalMessage();
    return { content, closed, stop_reason, usage };
  } catch (error) {
    return { refused: error.message };
  }
}

const results = {};
for (const name of fs.readdirSync(folder).sort()) {
  results[name] = await known(fs.readFileSync(path.join(folder, name)));
}
console.log(JSON.stringify(results));
