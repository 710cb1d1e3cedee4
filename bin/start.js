#!/usr/bin/env node
"use strict";
const { orExplain, start } = require("./launch.js");

orExplain(start("main", process.argv.slice(2)));
