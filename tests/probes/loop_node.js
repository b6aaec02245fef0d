// As loop_asyncio.py, for node: loop_node.js COUNT ADDRESS PORT.
const net = require('node:net');
const count = Number(process.argv[2]);
const address = process.argv[3];
const port = Number(process.argv[4]);
const ticks = [performance.now()];
const ticking = setInterval(() => ticks.push(performance.now()), 1);
let answered = 0, closed = 0;
for (let number = 1; number <= count; number++) {
  let answer = '';
  const socket = net.connect(port, address, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
  socket.on('data', (data) => { answer += data; });
  socket.on('error', (error) => console.error(error.code));
  socket.on('close', () => {
    answered += answer.includes('hello') ? 1 : 0;
    if (++closed < count) return;
    clearInterval(ticking);
    const gap = Math.max(...ticks.slice(1).map((time, index) => time - ticks[index]));
    const total = performance.now() - ticks[0];
    console.log(`${answered} ${ticks.length} ${gap.toFixed(1)} ${total.toFixed(1)}`);
  });
}
