// The module worker: one watcher, calls in, replies out. Calls that change the model's work wait for each other.
import type { Reply, Request, Told } from './protocol.ts';
import { Watcher } from './watcher.ts';

interface Port {
  postMessage(message: Reply | Told, transfer?: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<Request>) => void): void;
}

const port = globalThis as unknown as Port;
const watcher = new Watcher((news, transfer) => port.postMessage(news, transfer));

async function answer({ call, args }: Request): Promise<unknown> {
  switch (call) {
    case 'start': {
      const machine = await watcher.start(args);
      setTimeout(() => void watcher.loadNames().catch((error: Error) => port.postMessage({ tell: 'trouble', message: error.message })), 0);
      return machine;
    }
    case 'labels': return watcher.setLabels(args);
    case 'open': return watcher.open(args);
    case 'live': return watcher.live(args);
    case 'frame': return watcher.frame(args);
    case 'finish': return watcher.finish();
    case 'look': return watcher.look(args);
    case 'find': return watcher.find(args);
    case 'ask': return watcher.ask(args);
  }
}

port.addEventListener('message', ({ data }) => {
  watcher.urgent(answer(data)).then(result => port.postMessage({ id: data.id, result }), (error: Error) => port.postMessage({ id: data.id, error: error.message }));
});
