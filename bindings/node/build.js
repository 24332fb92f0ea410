'use strict'
// Builds lib/: the addon, the library and what it needs. Runs at `npm install`; in a package that has
// lib/ already there is nothing to do. Node-API is the same in every Node and Electron, so one build
// serves them all; only its C headers are needed, which come with Node (or Debian's libnode-dev).
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')
const build = path.join(root, 'build', 'release')
const lib = path.join(__dirname, 'lib')

function run (command, ...args) {
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
}

function headers () {
  const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)))
  const places = [path.join(prefix, 'include', 'node'), '/usr/include/node', '/usr/include/nodejs/src']
  const found = places.find(place => fs.existsSync(path.join(place, 'node_api.h')))
  if (found === undefined) {
    throw new Error(`node_api.h: expected in one of ${places.join(', ')}; Debian: libnode-dev`)
  }
  return found
}

function main () {
  if (!fs.existsSync(path.join(root, 'runtime', 'api', 'nibble.h'))) {
    if (fs.existsSync(path.join(lib, 'nibble.node'))) return
    throw new Error('nibble: expected its source tree around this folder, or lib/nibble.node')
  }
  if (!fs.existsSync(path.join(build, 'build.ninja'))) run('cmake', '--preset', 'release')
  run('cmake', '--build', build, '--target', 'nibble_bundled')
  fs.rmSync(lib, { recursive: true, force: true })
  fs.cpSync(path.join(build, 'bundled'), lib, { recursive: true })
  const sources = ['addon.c', 'tasks.c', 'values.c'].map(name => path.join(__dirname, name))
  run(process.env.CC || 'cc', '-std=c99', '-O2', '-fPIC', '-shared', '-fvisibility=hidden', '-Wall', '-Wextra',
    '-Wshadow', '-Wconversion', '-pedantic', '-I', headers(), '-I', path.join(root, 'runtime', 'api'),
    ...sources, '-L', lib, '-l:libnibble.so.1', '-Wl,-rpath,$ORIGIN', '-o', path.join(lib, 'nibble.node'))
}

main()
