// A verdict in words: which level is crossed, and so why the verdict is what it is.

/** One check in words: what its value is and which level it crosses. */
function checkSentence(check) {
  const name = inSentence(check.metric);
  if (!isNumber(check.value)) return `${name} has no value: ${figure(check.metric, check.value)}`;
  const levels = check.levels ?? {};
  const crossed = [
    ['fail_below', 'below', 1], ['fail_above', 'above', -1], ['warn_below', 'below the warn level of', 1], ['warn_above', 'above the warn level of', -1],
  ].find(([key, , side]) => isNumber(levels[key]) && side * (check.value - levels[key]) < 0);
  const bound = check.bound ? ` (${check.bound} bound)` : '';
  const value = `${name} ${number(check.metric, check.value)}${bound}`;
  return crossed ? `${value} is ${crossed[1]} ${level(check.metric, levels[crossed[0]])}` : `${value} can’t be told from its level`;
}

/** Checks that don't pass, the gravest first; what somebody accepted comes last. */
function badChecks(periods) {
  const several = periods.length > 1;
  const found = periods.flatMap((p) => list(p.checks).map((check) => ({ check, period: several ? `${p.name}: ` : '' })));
  const bad = found.filter(({ check }) => check.status !== 'PASS');
  const weight = ({ check }) => SEVERITY.indexOf(statusOf(check.status)) - (check.acknowledged ? SEVERITY.length : 0);
  return bad.sort((a, b) => weight(b) - weight(a));
}

/** The verdict's reason in a sentence. */
function reason({ strategy, status, error, periods }) {
  const name = strategy ?? 'An unnamed strategy';
  if (error) return `${name} could not be judged: ${error.message ?? 'no message was recorded'}`;
  const [all, bad] = [list(periods).flatMap((p) => list(p.checks)), badChecks(list(periods))];
  if (!all.length) return `Nothing of ${name} was judged`;
  if (!bad.length) return `${name} holds ${all.length === 1 ? 'its only criterion' : `all ${all.length} criteria`}`;
  if (status === 'PASS') return `${name} passes; ${plural(bad.length, 'failure')} of ${all.length} criteria ${bad.length === 1 ? 'is' : 'are'} accepted`;
  const [worst, ...more] = bad.filter(({ check }) => !check.acknowledged);
  if (!worst) return `${name}: see the criteria`;
  return `${worst.period}${name}’s ${checkSentence(worst.check)}${more.length ? `, and ${plural(more.length, 'more criterion doesn’t', 'more criteria don’t')} pass` : ''}`;
}
