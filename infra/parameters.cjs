// Checks the parameters of a deployment before anything is made of them, and says which optional parts it has.
//
// All that is wrong is said at once, a line each. Where a value is checked further by osls, by its own schema, or by
// the edge when it starts, it is only looked at here as far as a mistake would show late, or not at all.
'use strict';

const ONE_OF = (...values) => [new RegExp(`^(${values.join('|')})$`), `one of ${values.join(', ')}`];
const SWITCH = ONE_OF('on', 'off');
const COUNT = [/^[1-9][0-9]{0,6}$/, 'a whole number from 1'];

// What a parameter that has a value must look like.
const FORMS = {
  generation: ONE_OF('stream', 'redirect', 'buffered'),
  secrets: [/^(\/[\w.-]+)+$/, 'a path like /penstock/production'],
  secretsKeyArn: [/^arn:[\w-]+:kms:[\w-]+:\d{12}:key\/[\w-]+$/, 'the ARN of a KMS key'],
  ledgerTable: [/^[\w.-]{3,255}$/, 'the name of a table'],
  corsOrigins: [/^(\*|https?:\/\/[^/\s,]+(,https?:\/\/[^/\s,]+)*)$/, 'origins like https://app.example, with commas between, or *'],
  architecture: ONE_OF('arm64', 'x86_64'),
  pythonRuntime: [/^python3\.\d+$/, 'a runtime like python3.13'],
  snapStart: SWITCH,
  snapStartStream: SWITCH,
  reservedConcurrency: COUNT,
  requestsPerSecond: COUNT,
  requestsAtOnce: COUNT,
  reconcile: [/^(rate|cron)\(.+\)$/, 'an expression like rate(1 minute)'],
  // Under what the functions take for drops; so that no result, and nothing of a batch under way, ever is one.
  incomingPrefix: [/^incoming\/([\w.-]+\/)*$/, 'a prefix like incoming/ or incoming/nightly/'],
  incomingSuffix: [/^[\w.-]*\.jsonl$/, 'a suffix like .jsonl'],
  serviceKeyId: [/^\w{1,64}$/, "an API key's id"],
  webhookUrl: [/^https:\/\/\S+$/, 'a URL that begins with https://'],
  keepData: SWITCH,
  logRetentionDays: COUNT,
  tracing: SWITCH,
  latencyAlarmMs: COUNT,
  errorRateAlarm: SWITCH,
  alarmEmail: [/^[^@\s]+@[^@\s]+$/, 'an e-mail address'],
  monthlyBudgetUsd: COUNT,
  waf: SWITCH,
  wafRequestsPerAddress: COUNT,
  domain: [/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'a name like api.example.com'],
  certificateArn: [/^arn:[\w-]+:acm:[\w-]+:\d{12}:certificate\/[\w-]+$/, 'the ARN of a certificate'],
  hostedZoneId: [/^Z[A-Z0-9]+$/, 'the id of a hosted zone'],
};

// What only looks at a deployment, or takes it away, needs to know nothing of what it leads to.
const MAKES = process.argv.some((word) => word === 'deploy' || word === 'package');

module.exports = async ({ options, resolveConfigurationProperty, resolveVariable }) => {
  const stage = await resolveVariable('sls:stage');
  const known = Object.keys(await resolveConfigurationProperty(['params', 'default']));
  const given = {};
  for (const name of known) given[name] = await resolveVariable(`param:${name}, null`);

  const wrong = [...unknown(options.param ?? [], known), ...malformed(given), ...unfit(stage, given)];
  // Not an Error: osls would print its stack.
  if (wrong.length > 0) throw `\n  ${wrong.join('\n  ')}`;
  return optional(given);
};

function unknown(options, known) {
  const names = options.map((option) => option.split('=')[0]);
  return names.filter((name) => !known.includes(name)).map((name) => `${name}: there is no such parameter`);
}

function malformed(given) {
  return Object.entries(FORMS)
    .filter(([name, [form]]) => given[name] !== null && !form.test(given[name]))
    .map(([name, [, expected]]) => `${name}: must be ${expected}, not ${JSON.stringify(given[name])}`);
}

function unfit(stage, given) {
  const lines = [];
  const only = stage === 'emulator' ? /^https?:\/\// : /^https:\/\//;
  if (!/^[a-z][a-z0-9-]{0,19}$/.test(stage)) lines.push('stage: must be 1 to 20 of a-z, 0-9 and -, a letter first');
  if (MAKES && given.gpuUrl === null) {
    lines.push('gpuUrl: must be given: --param gpuUrl="$(.venv/bin/penstock deploy urls)"');
  }
  for (const name of ['gpuUrl', 'gpuPublicUrl']) {
    if (given[name] !== null && !urls(given[name]).every((url) => only.test(url))) {
      lines.push(`${name}: must be a URL that begins with https://, or JSON of such, as penstock deploy urls prints it`);
    }
    // Lambda's limit is 4 KB for all variables of a function.
    if (String(given[name]).length > 1500) lines.push(`${name}: must be at most 1500 characters; a URL with {model} is`);
  }
  if (given.generation === 'redirect' && given.gpuPublicUrl === null) {
    lines.push('gpuPublicUrl: must be given where generation is redirect');
  }
  if (given.generation === 'buffered' && stage !== 'emulator') {
    lines.push('generation: buffered is for the stage emulator: API Gateway ends an answer that takes 29 seconds');
  }
  if ((given.domain === null) !== (given.certificateArn === null)) {
    lines.push('domain: needs certificateArn, and the other way round');
  }
  if (given.hostedZoneId !== null && given.domain === null) lines.push('hostedZoneId: needs domain');
  return lines;
}

// The URLs in a value; what is none is returned as it is, and fails the check of URLs.
function urls(value) {
  try {
    const parsed = JSON.parse(value);
    return parsed !== null && typeof parsed === 'object' ? Object.values(parsed) : [value];
  } catch {
    return [value];
  }
}

const MANAGED = '/aws/reference/secretsmanager/';

function optional(given) {
  const on = (is) => (is ? 'on' : 'off');
  const names = ['webhookUrl', 'secretsKeyArn', 'alarmEmail', 'monthlyBudgetUsd', 'domain', 'hostedZoneId'];
  return {
    ...Object.fromEntries(names.map((name) => [name, on(given[name] !== null)])),
    // Functions that clients reach are open to whoever has a ticket: Modal asks for no token before them.
    proxyToken: on(given.gpuPublicUrl === null),
    secretsManager: on(given.secrets.startsWith(MANAGED)),
    managedSecrets: given.secrets.replace(MANAGED, ''),
  };
}
