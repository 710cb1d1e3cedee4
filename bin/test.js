#!/usr/bin/env node
"use strict";
const { orExplain, startTests } = require("./launch.js");

orExplain(startTests(process.argv.slice(2)));
