#!/usr/bin/env node
"use strict";
const { orExplain, start } = require("./launch.js");

orExplain(start("demo", process.argv.slice(2)));
