// Stands for the browser's Bluetooth and serial ports; `window.device` says what they give:
// {packets: base64[], leavesAfter: number[], refuses, ecg, rates: base64[]} of a strap, {pieces: string[], unplugsAfter}
// of a port. `window.given` counts what was given.
const { device } = window;
window.given = 0;
window.asked = [];
const soon = (act) => setTimeout(act, 3);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

class Characteristic extends EventTarget {
  constructor(written) { super(); this.written = written; }
  async startNotifications() { this.notifies = true; return this; }
  async writeValueWithResponse(value) { this.written(new Uint8Array(value.buffer ?? value)); }
  notify(value) {
    if (!this.notifies) return;
    this.value = new DataView(value.buffer);
    this.dispatchEvent(new Event("characteristicvaluechanged"));
  }
}

class Strap extends EventTarget {
  name = "Polar H10 12345678";
  failures = 1; // before it is reached again
  gatt = {
    connected: false,
    connect: async () => {
      if (window.given && this.failures-- > 0) throw new DOMException("out of reach", "NetworkError");
      this.gatt.connected = true;
      return { getPrimaryService: async (uuid) => this.service(uuid) };
    },
    disconnect: () => { this.gatt.connected = false; },
  };
  service(uuid) {
    if (uuid.includes("180d") && device.rates) {
      const rate = new Characteristic(() => {});
      const send = () => {
        if (!this.gatt.connected || window.given >= device.rates.length) return;
        rate.notify(bytes(device.rates[window.given++]));
        soon(send);
      };
      soon(send);
      return { getCharacteristic: async () => rate };
    }
    if (device.ecg === false) throw new DOMException("no such service", "NotFoundError");
    const data = new Characteristic(() => {});
    const control = new Characteristic((command) => {
      window.asked.push(Array.from(command));
      if (command[0] !== 2) return;
      soon(() => control.notify(Uint8Array.of(0xf0, 2, 0, device.refuses ?? 0, 0)));
      if (!device.refuses) soon(() => this.send(data));
    });
    return { getCharacteristic: async (uuid) => (uuid.includes("5c81") ? control : data) };
  }
  send(data) {
    if (!this.gatt.connected || window.given >= device.packets.length) return;
    data.notify(bytes(device.packets[window.given++]));
    if (device.leavesAfter?.includes(window.given)) {
      this.gatt.connected = false;
      this.dispatchEvent(new Event("gattserverdisconnected"));
    } else soon(() => this.send(data));
  }
}

class Port {
  async open({ baudRate }) {
    window.asked.push(baudRate);
    this.readable = new ReadableStream({
      pull: (give) => new Promise((resolve) => {
        soon(() => {
          if (window.given < device.pieces.length) {
            give.enqueue(bytes(device.pieces[window.given++]));
            if (device.unplugsAfter === window.given) give.error(new DOMException("lost", "NetworkError"));
          }
          if (window.given < device.pieces.length) resolve();
        });
      }),
    });
  }
  async close() { this.readable = null; }
}

const stands = (name, value) => Object.defineProperty(navigator, name, { value, configurable: true });
stands("bluetooth", { requestDevice: async () => new Strap() });
stands("serial", { requestPort: async () => new Port() });
