/** Each before those that its User-Agent also names. */
const browsers = {
  Edg: 'Edge',
  'OPR/': 'Opera',
  'SamsungBrowser/': 'Samsung Internet',
  'Firefox/': 'Firefox',
  'FxiOS/': 'Firefox',
  'CriOS/': 'Chrome',
  'Chrome/': 'Chrome',
  'Safari/': 'Safari',
};
const systems = {
  iPhone: 'iPhone',
  iPad: 'iPad',
  Android: 'Android',
  CrOS: 'ChromeOS',
  Windows: 'Windows',
  'Mac OS X': 'macOS',
  Linux: 'Linux',
};

/** What people know a device by; the start of its User-Agent where it is none of the common ones. */
export function deviceOf(userAgent: string): string {
  const named = (names: Record<string, string>) =>
    Object.entries(names).find(([part]) => userAgent.includes(part))?.[1];
  const [browser, system] = [named(browsers), named(systems)];
  return browser && system ? `${browser}, ${system}` : userAgent.slice(0, 80);
}
