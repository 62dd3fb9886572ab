// Which lead of a serial device or a file is the ECG, and whether numbers can be one in mV. The rules are
// those of runtime/records/leads.py, units.py and shape.py.

// The table of names is that of runtime/records/leads.py, word for word; \w is a letter of any script.
const OTHER_WORD = words(String.raw`eeg\d*|[hvlr]?eog\d*|emg\d*|roc|loc|chin\d*|legs?|lat|rat|plm\w*|tib\w*|`
  + String.raw`rsp|resp\w*|atm\w*|呼吸\w*|дыхание|res|thor\w*|tho|abdo\w*|abd|effort|rip|breath\w*|air|airflow|flow|nasal|`
  + String.raw`therm\w*|snor\w*|sounds?|mic|microphone|phono\w*|co2|etco2|imp\w*|edr|`
  + String.raw`[pbsi]cg|iegm|egm|egg|ehg|nirs|ballisto\w*|seismo\w*|`
  + String.raw`ple[dt]h\w*|ppg|spo2?|sao2|sp|osat|oxy\w*|ox|puls\w*|pr|prv|血氧\w*|脉搏\w*|пульс|`
  + String.raw`abp|art|bp|nibp|cvp|pap|icp|uap|uvp|mcap|p\d|pressure|`
  + String.raw`hr|rri?|ibi|hrv|heart|rate|bpm|herzfrequenz|fr[eé][qc]uenc\w*|frequenza|hartslag|tętno|心率\w*|心拍\w*|чсс|`
  + "quality|sqi|status|state|leadoff|off|"
  + String.raw`a[ck]?c?el\w*|acc\w*|beschleunigung\w*|加速度?\w*|ускорение|gyro?\w*|[agm][xyz]|mag\w*|gravity|imu|baro\w*|`
  + "altitude|motion|activity|torque|force|angle|speed|gps|lon|"
  + String.raw`temp|temp\d+|temperat\w*|tempér\w*|温度|体温|температура|gsr|eda|light|lux|batt?\w*|rssi|pos\w*|body|`
  + String.raw`digital|marker|marks?|events?|button|trig\w*|annotations?|label|class|beats?|r?peaks?|onsets?|offsets|phase|`
  + String.raw`nseq|seq\w*|counter|index|idx|packet|crc|hypnogram|stage`);
const ECG_WORD = words(String.raw`e[ck]g[a-z]*\d*|ekg\w*|[eé]le(?:[ck]|t)tro[ck]ardiogra\w*|`
  + String.raw`экг\w*|ηκγ\w*|心[电電]\w*|심전도\w*`);
const ECG_LEAD = words(String.raw`m?l?i{1,3}|d(?:i{1,3}|[123])|m?l[123]|a?v[rlf]|v[1-9]r?|v1[0-2]|v|mv[1-6]|cl[1-6]|`
  + "mcl[1-6]r?|c[ms][1-6]|cc5|cb5|cr[1-6]|nehb[daj]|v[xyz]|es|as|ai|"
  + String.raw`(?:la|ll|ra|rl)(?:la|ll|ra|rl)|v[1-6x]?rl|chest\w*`);
const AMBIGUOUS = words("d[123]|l[123]|v|es|as|ai"); // of another signal, but beside leads of twelve
const SITE = String.raw`(?:fp|af|fc|cp|po|ft|tp|[fcpot])(?:z|pz|\d{1,2})`;
const EEG_SITES = words(`${SITE}(?:[am][12]|${SITE})?|e[12]m[12]`);
const FILLERS = new Set(("lead leads channel ch ableitung derivation dérivation derivacion derivación derivazione "
  + "derivação afleiding avledning odprowadzenie отведение signal wave mod modified easi raw cal").split(" "));
// What is written without a blank beside the name: II导联, leadII.
const GLUED = /导联|導聯|导出|導出|誘導|lead(?=(?:i{1,3}|[123]|a?v[rlf1-6])(?![\p{L}\p{N}]))/gu;
const OF_BODY = new Set(["heart", "leg", "legs"]); // beside "ECG" they say where
const NEAREST = [/^ml\s?ii$/, /^(?:ii|dii|d2|ll ra)$/]; // to MLII, on which the model was trained most
const VOLTAGE = /^(?:(n|nano)|(u|\u03bc|\u00b5|\ufffd|mc|micro)|(m|milli))?-?v(?:olts?)?$/;
// Several of a unit, or a converter's step: 0.1 mV, 5 uV/LSB.
const STEP = /^(\d+(?:\.\d*)?|\.\d+)[x*·×]?([^\d\s/]+?)(?:(?:\/|per)(?:lsb|bit|counts?|digit|adu))?$/;
const POWER = /^(?:[x*·×]?1?e|[x*·×]?10(?:\^|\*\*))\(?([+-]?\d{1,2})\)?[*·×]?([^\d\s].*)$/;
// Units of other quantities, and what speaks of volts but is no unit that is known.
const OTHER_UNIT = new RegExp("^(?:adu|adc|counts?|lsb|raw|bits?|digits?|digital|int|integer|au|a\\.u\\.|nu|unitless|"
  + "dimensionless|normali[sz]ed|norm|scaled|z-?score|db|arb\\.|arbitrary|%|g|m/s2|mg|mmhg|cmh2o|kpa|pa|bpm|ohm|kohm|"
  + "c|°c|hz)(?: (?:units?|counts?|values?))?$");
const VOLTS_IN = /(?<![\p{L}])(?:[pnumcdkµμ]v|\p{L}*volts?)(?![\p{L}])/iu;
const AROUND = /^(?:units?|einheit|in)\b[\s:=]*|(?<=v)\.$|\s*\*$|[\s_-]+(?:pk|peak|pp|p-p|pk-pk|peak-to-peak)$/gi;
const GAIN = /^(\d+(?:\.\d*)?)\s*\/\s*(\S+)$/;

const WINDOW_S = 2; // holds a beat of any heart above 30 a minute
const MAX_WINDOWS = 1800;
const LARGEST_ECG_MV = 20;
const SMALLEST_ECG_MV = 0.05;
const SLOPE_S = 0.02; // a QRS complex rises or falls in this time
const SHARP = 6; // ECG has 8 and more; noise about 3, pulse and breath 2 to 5
const MIN_LEVELS = 8;

/**
 * How many mV a unit is; null if it is no voltage.
 * @param {string} unit
 * @returns {number|null}
 */
export function millivolts(unit) {
  const bare = unit.trim().replace(AROUND, "");
  const gain = GAIN.exec(bare);
  if (gain) {
    const whole = millivolts(gain[2]);
    return whole === null || !Number(gain[1]) ? null : whole / Number(gain[1]);
  }
  const folded = bare.toLowerCase().replaceAll(" ", "");
  const power = POWER.exec(folded);
  if (power) {
    const whole = ofVolts(power[2]);
    return whole === null ? null : Number(`${whole}e${Number(power[1])}`);
  }
  const step = STEP.exec(folded);
  if (step) {
    const whole = ofVolts(step[2]);
    return whole === null || !Number(step[1]) ? null : Number(step[1]) * whole;
  }
  return ofVolts(folded);
}

/** @param {string} folded without blanks, in small letters @returns {number|null} mV */
function ofVolts(folded) {
  const match = VOLTAGE.exec(folded);
  if (!match) return null;
  return match[1] ? 1e-6 : match[2] ? 1e-3 : match[3] ? 1 : 1000;
}

/**
 * A column's name and the unit behind it: `ECG (uV)`, `ecg_uV`. Brackets that speak of volts hold a unit,
 * known or not, as those of another quantity do.
 * @param {string} name
 * @returns {{name: string, unit: string}} the unit may be empty
 */
export function splitUnit(name) {
  const inside = /^(.+?)[\s_]*[([{<（【]\s*(.*?)\s*[)\]}>）】]\s*\*?$/.exec(name);
  if (inside) {
    const unit = inside[2];
    if (millivolts(unit) !== null || OTHER_UNIT.test(unit.trim().toLowerCase()) || VOLTS_IN.test(unit)) {
      return { name: inside[1], unit };
    }
  }
  const behind = /^(.+?)(?:[\s_/,;:|.-]|\bin\b)+([^\s_/,;:|.-]+)$/.exec(name)
    ?? /^(e[ck]g\w*?|.*[A-Z\d])([numµμ]V)$/.exec(name) ?? /^(e[ck]g\d*)([umµμ]v)$/.exec(name);
  // A single letter may be the lead's own: monitors have a lead "ECG V".
  if (behind && behind[2].length > 1 && millivolts(behind[2]) !== null) return { name: behind[1], unit: behind[2] };
  return { name, unit: name.length > 1 && millivolts(name) !== null ? name : "" };
}

/**
 * True if a lead's name is one of an ECG, false if of anything else, null if open.
 * @param {string} name
 */
export function isEcg(name) {
  const parts = name.split(/[^\p{L}\p{N}]+/u);
  const found = parts.flatMap((part) =>
    [part, ...(part.match(/[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+/g) ?? [])])
    .map((word) => word.toLowerCase());
  const whole = bare(name);
  const ecg = found.some((word) => ECG_WORD.test(word));
  const others = [...found, whole].filter((word) => !(ecg && OF_BODY.has(word)));
  if (others.some((word) => OTHER_WORD.test(word))) return false;
  if (ecg) return true;
  if (EEG_SITES.test(whole) && !/^c[1-6]$/.test(whole)) return false;
  return ECG_LEAD.test(whole) || (/lead|ableitung/i.test(name) && "123".includes(whole)) || null;
}

/**
 * The name that is an ECG's, the one nearest to MLII if several are.
 * @param {string[]} names
 * @returns {number} its index; -1 if none is
 */
export function chooseByName(names) {
  const named = names.map((_, i) => i).filter((i) => isEcg(names[i]));
  const ranks = named.map((i) => rank(names[i]));
  return named.length ? named[ranks.indexOf(Math.min(...ranks))] : -1;
}

/**
 * A lead of a file; `load` gives its samples, in its unit.
 * @typedef {{ name: string, unit: string, fs: number, load: () => Float64Array }} Lead
 */

/**
 * The lead of a file that is the ECG: by name, then by unit, then by its beats.
 * @param {Lead[]} leads
 * @returns {Lead}
 */
export function chooseLead(leads) {
  const usable = (/** @type {Lead} */ { unit }) => !unit.trim() || millivolts(unit) !== null;
  const called = leads.filter(({ name }) => isEcg(name));
  const doubtful = leads.length < 2 ? [] : called.filter((lead) => isDoubtful(lead, called));
  const named = called.filter((lead) => !doubtful.includes(lead));
  if (named.length) {
    const among = named.some(usable) ? named.filter(usable) : named;
    return among[chooseByName(among.map(({ name }) => name))];
  }
  const nameless = leads.filter((lead) => doubtful.includes(lead) || isEcg(lead.name) === null);
  const inVolts = nameless.filter(({ unit }) => millivolts(unit) !== null);
  const unstated = nameless.filter(({ unit }) => !unit.trim());
  const candidates = [inVolts, unstated, nameless].find((some) => some.length);
  if (!candidates)
    throw new Error(`has no ECG: its leads are ${leads.map(({ name }) => name).join(", ")}.`);
  return candidates.length === 1 ? candidates[0] : sharpest(candidates);
}

/**
 * @param {Lead} lead
 * @param {Lead[]} called
 */
function isDoubtful(lead, called) {
  const own = bare(lead.name);
  const others = called.filter((other) => other !== lead).map(({ name }) => bare(name));
  return AMBIGUOUS.test(own) && !others.some((other) => ECG_LEAD.test(other) && other !== own);
}

/**
 * The first that has clear beats in its first minute, unless another's are twice as clear.
 * @param {Lead[]} leads
 */
function sharpest(leads) {
  const found = leads.map(({ load, fs }) => {
    try {
      return sharpness(load().subarray(0, Math.round(60 * fs)), fs);
    } catch {
      return 0; // said if this lead is the one
    }
  });
  const best = Math.max(...found);
  return leads[best < SHARP ? 0 : found.findIndex((clear) => clear >= Math.max(SHARP, best / 2))];
}

/**
 * The words of a name that say which lead it is, as one.
 * @param {string} name
 */
function bare(name) {
  return wordsOf(name).join("");
}

/**
 * Any of these words, and nothing else.
 * @param {string} text
 */
function words(text) {
  return new RegExp(`^(?:${text.replaceAll("\\w", "[\\p{L}\\p{N}_]")})$`, "u");
}

/**
 * What numbers without a unit likely are, if they cannot be an ECG in mV; else null.
 * @param {Float32Array|Float64Array} values
 * @param {number} fs
 */
export function doubt(values, fs) {
  const present = values.filter(Number.isFinite);
  const size = usualRange(present, fs);
  if (size > LARGEST_ECG_MV) {
    const whole = present.every(Number.isInteger);
    const offset = Math.abs(quantile(present, 0.5)) > 2 * size || present.every((v) => v >= 0);
    const small = size / 1000 < SMALLEST_ECG_MV;
    return (whole && (offset || small)) || size / 1000 > LARGEST_ECG_MV
      ? "counts of a converter" : "uV";
  }
  return size > 0 && size < SMALLEST_ECG_MV && sharpness(present, fs) >= SHARP ? "V" : null;
}

/**
 * Largest less smallest value in two seconds, the median of those that are not flat.
 * @param {Float32Array|Float64Array} present
 * @param {number} fs
 */
export function usualRange(present, fs) {
  const ranges = windows(present, fs)
    .map((window) => quantile(window, 0.99) - quantile(window, 0.01)).filter((range) => range > 0);
  return ranges.length ? quantile(Float64Array.from(ranges), 0.5) : 0;
}

/**
 * Steepest slope of two seconds over a usual one: a measure of QRS complexes.
 * @param {Float32Array|Float64Array} values
 * @param {number} fs
 */
function sharpness(values, fs) {
  const present = values.filter(Number.isFinite);
  const levels = new Set(present.subarray(0, Math.round(60 * fs)));
  if (levels.size < MIN_LEVELS || isCount(present)) return 0;
  const lag = Math.max(1, Math.round(SLOPE_S * fs));
  const slopes = windows(present, fs).map((window) => {
    const taken = window.filter((_, i) => i % lag === 0);
    return Float64Array.from(taken.subarray(1), (value, i) => Math.abs(value - taken[i]));
  });
  if (!slopes.length || !slopes[0].length) return 0;
  const least = slopes.reduce((low, window) =>
    window.reduce((one, step) => (step > 0 && step < one ? step : one), low), Infinity);
  const usual = (/** @type {Float64Array} */ window) => Math.max(quantile(window, 0.75), least === Infinity ? 1 : least);
  const clear = slopes.map((window) => window.reduce((a, b) => Math.max(a, b)) / usual(window));
  return quantile(Float64Array.from(clear), 0.5);
}

/**
 * True if most steps are the same and not 0: a clock, or a count that starts anew.
 * @param {Float32Array|Float64Array} present
 */
function isCount(present) {
  const some = present.subarray(0, 1 << 16);
  const steps = some.subarray(1).map((value, i) => value - some[i]);
  if (!steps.length) return false;
  const usual = quantile(steps, 0.5);
  const same = steps.filter((step) => Math.abs(step - usual) < 1e-6 * Math.abs(usual)).length;
  return usual !== 0 && same > steps.length / 2;
}

/** @param {string} name @returns {string[]} its words in small letters, but "lead" and the like */
const wordsOf = (name) => name.toLowerCase().replace(GLUED, " ").split(/[^\p{L}\p{N}]+/u)
  .filter((word) => word && !FILLERS.has(word));

/** @param {string} name */
function rank(name) {
  const rest = wordsOf(name).filter((word) => !ECG_WORD.test(word));
  const place = NEAREST.findIndex((form) => form.test(rest.join(" ")));
  return place < 0 ? NEAREST.length : place;
}

/**
 * Pieces of two seconds; what is shorter than one is one.
 * @param {Float32Array|Float64Array} present
 * @param {number} fs
 */
function windows(present, fs) {
  const size = Math.min(present.length, Math.max(2, Math.round(WINDOW_S * fs)));
  const count = size ? Math.min(Math.floor(present.length / size), MAX_WINDOWS) : 0;
  return Array.from({ length: count }, (_, i) => present.subarray(i * size, (i + 1) * size));
}

/**
 * As numpy's, between two values in proportion.
 * @param {Float32Array|Float64Array} values
 * @param {number} share
 */
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}
