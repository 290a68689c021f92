// The bus from Node. Start a server first:
//
//     streamrnn serve plant.safetensors --listen tcp://127.0.0.1:5555
//
// and then    npm install zeromq @msgpack/msgpack && node client.js
const { Request } = require("zeromq");
const { encode, decode } = require("@msgpack/msgpack");

async function main() {
  const socket = new Request();
  socket.connect("tcp://127.0.0.1:5555");
  const ask = async (request) => {
    await socket.send(encode(request));
    const [frame] = await socket.receive();
    const reply = decode(frame);
    if (reply.error) throw new Error(`${reply.error}: ${reply.detail}`);
    return reply;
  };

  const [model] = (await ask({ op: "info" })).models;
  console.log(`${model.inputs} inputs, ${model.outputs} outputs, ${model.streams} streams`);
  const { last } = await ask({ op: "resume", streams: ["pump-9"] }); // 0 for a new stream: where to go on
  for (let seq = last["pump-9"] + 1, end = seq + 10; seq < end; seq++) {
    const result = await ask({ stream: "pump-9", seq, x: Array(model.inputs).fill(Math.sin(seq / 9)) });
    console.log(seq, result.y);
  }
  socket.close();
}

main();
