// Streams one file through a running CNCjs: signs in, opens the port, loads, starts, and tells how it went.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const [tools, server, port, baud, file] = process.argv.slice(2);
const io = require(path.join(tools, 'node_modules', 'socket.io-client'));

function token() {
    return new Promise((resolve, reject) => {
        const ask = http.request(`${server}/api/signin`, { method: 'POST', headers: { 'Content-Type': 'application/json' } }, (reply) => {
            let text = '';
            reply.on('data', (part) => { text += part; });
            reply.on('end', () => resolve(JSON.parse(text).token));
        });
        ask.on('error', reject);
        ask.end('{}');
    });
}

function end(word, status) {
    process.stdout.write(word + '\n', () => process.exit(status));
}

token().then((key) => {
    const socket = io(server, { query: `token=${key}`, transports: ['websocket'] });
    let running = false;
    socket.on('connect', () => {
        socket.emit('open', port, { controllerType: 'Grbl', baudrate: Number(baud) });
    });
    socket.on('serialport:error', (what) => end(`port: ${JSON.stringify(what)}`, 1));
    let loaded = false;
    socket.on('controller:state', () => {
        if (loaded) { return; }
        loaded = true;
        const text = fs.readFileSync(file, 'utf8');
        socket.emit('command', port, 'gcode:load', path.basename(file), text, {}, (error) => {
            if (error) { end(`load: ${error}`, 1); return; }
            socket.emit('command', port, 'gcode:start');
        });
    });
    socket.on('workflow:state', (state) => {
        if (state === 'running') { running = true; return; }
        if (running && state === 'idle') {
            socket.emit('close', port);
            setTimeout(() => end('finished', 0), 200);
        }
        if (running && state === 'paused') { end('paused at an error', 1); }
    });
}).catch((error) => end(String(error), 1));
